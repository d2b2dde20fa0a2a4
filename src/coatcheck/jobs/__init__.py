"""Background tasks: their kinds, notifications to workers, and the runner. The tasks' rows belong to other packages."""

"""Work for later: tasks, the queue that holds them and the leases under which they run."""

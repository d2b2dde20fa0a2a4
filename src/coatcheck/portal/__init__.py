"""The portal: the pages on which an end user sees who may read what and who read it, and ends or narrows access."""

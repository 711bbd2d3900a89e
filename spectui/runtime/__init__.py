"""Terminal ownership, logs, the engines' environment, temporary files, and the way out of the process."""

"""Models of the step suite, in plain torch: each module's `job()` gives the names of a job file."""

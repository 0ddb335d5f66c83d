"""What each operator computes, and the ways to compute it to the same bits."""

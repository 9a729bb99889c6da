"""Compare what several networks did on the same cases, from their ``cases.csv`` alone."""

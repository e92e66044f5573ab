"""What several benchmarks use: readers, networks, times, scores, results."""

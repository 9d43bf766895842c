"""What the console draws: correlations over time, sagas, charts of throughput and lag."""

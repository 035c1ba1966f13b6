"""Time and memory: of a prediction, its stages and backends, of streaming, training and the projection."""

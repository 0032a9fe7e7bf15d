"""Filter, order and page over rows of any kind: pure functions, so that `observe` and `serve` answer alike."""

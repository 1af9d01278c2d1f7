"""The small parts that pages are put together from. None of them knows the AppState unless its name says so."""

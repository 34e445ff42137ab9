"""The page: what people look at, as HTML made here, with small scripts and no other host."""

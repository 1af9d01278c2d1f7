"""Choosing what and where: the lists behind the two chips of the top bar."""

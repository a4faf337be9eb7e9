"""A service that announces its keys, under real servers."""

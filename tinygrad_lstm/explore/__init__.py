"""The explorer: one self-contained HTML page in which a gradient can be followed, number by number."""

from .page import page, page_of_network

__all__ = ["page", "page_of_network"]

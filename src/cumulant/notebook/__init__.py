"""The notebook: each symmetry class solved once, recorded and verified, and looked up ever after."""

from cumulant.notebook.answer import Answer
from cumulant.notebook.library import add, page, pages, search, user_folder
from cumulant.notebook.lookup import lookup
from cumulant.notebook.page import Page
from cumulant.notebook.tables import tabulate
from cumulant.notebook.universality import Universality
from cumulant.notebook.verify import verify

__all__ = [
    "Answer",
    "Page",
    "Universality",
    "add",
    "lookup",
    "page",
    "pages",
    "search",
    "tabulate",
    "user_folder",
    "verify",
]

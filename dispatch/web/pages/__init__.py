"""The page: what the site does now, why, and what it would do in a what-if. It shows only what the public API returns."""

from dispatch.web.pages.routes import router

__all__ = ["router"]

"""The page: what the site does now, why, and what it would do. It shows what the public API tells, nothing else."""

from dispatch.web.pages.routes import router

__all__ = ["router"]

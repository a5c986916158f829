"""The pages: what the site does now, why, and what it would do in a what-if. They show only what the public API returns."""

from dispatch.web.pages.routes import router
from dispatch.web.pages.sign_in import router as sign_in

__all__ = ["router", "sign_in"]

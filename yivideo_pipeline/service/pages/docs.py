"""The page `/docs`: the API as Swagger UI shows it, in the frame of all pages."""

from fastapi import APIRouter, Request, Response

from yivideo_pipeline.service.pages.frame import render
from yivideo_pipeline.service.pages.translations import FRAME

router = APIRouter(include_in_schema=False)


@router.get("/docs")
def docs(request: Request) -> Response:
    """Show the page; its script reads the description of the API and shows it."""
    return render(request, "docs.html", FRAME, nav="docs")

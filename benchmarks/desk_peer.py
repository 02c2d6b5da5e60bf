"""What one writes in an afternoon: ``transformers.pipeline`` behind a plain FastAPI route."""

from __future__ import annotations

import argparse

import torch
import transformers
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Request(BaseModel):
    """One text."""

    text: str


def peer_app(model: str, dtype: str) -> FastAPI:
    """``POST /predict`` gives the most likely label of a text."""
    classify = transformers.pipeline(
        "text-classification", model=model, dtype=getattr(torch, dtype), device="cpu"
    )
    app = FastAPI()

    @app.get("/readyz")
    def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/predict")
    def predict(request: Request) -> list[dict[str, object]]:
        return list(classify(request.text))

    return app


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    app = peer_app(options.model, options.dtype)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()

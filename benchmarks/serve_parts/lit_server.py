"""A model behind LitServe, for benchmarks/serve.py: python lit_server.py FOLDER DEVICE PORT"""

import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np
from numpy.typing import NDArray

from resnet_ops.export.exported import load_deployed

BATCH = 64


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    """Answers as `mlflow models serve` does, in batches as ours: the same settings, the same network."""

    def setup(self, device: str) -> None:
        self.model = load_deployed(Path(sys.argv[1]), device=sys.argv[2])

    def decode_request(self, request: dict[str, Any]) -> NDArray[np.uint8]:
        return np.array(request["inputs"], np.uint8)

    def batch(self, inputs: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        return np.concatenate(inputs)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.model.predict(images, batch_size=BATCH).probabilities

    def unbatch(self, output: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return list(output)

    def encode_response(self, output: NDArray[np.float32]) -> dict[str, Any]:
        return {"predictions": [output.tolist()]}


if __name__ == "__main__":
    api = Classifier(max_batch_size=BATCH, batch_timeout=0.002, api_path="/invocations")
    server = litserve.LitServer(api, accelerator="cpu" if sys.argv[2] == "cpu" else "cuda", devices=1)
    server.run(host="127.0.0.1", port=int(sys.argv[3]), generate_client_file=False)

"""An lm-eval YAML task whose rows may come from a local file: ``--metadata l2_data=DIR``.

Its YAML's metadata says which file stands in for the hub's data set, and its
columns' names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets import Dataset, DatasetDict
from lm_eval.api.task import ConfigurableTask

from l2_harness.benchmarks.local_data import data_folder, read_rows


class LocalDataTask(ConfigurableTask):
    """A task whose documents are the rows of one split, the one that it is tested on."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Build the task from its YAML.

        Args:
            config: the YAML's fields. ``metadata`` holds the task's own `rows`, `file` and
                `columns`, and what the user gave as ``--metadata`` and ``--model_args``.

        Raises:
            ConfigError: a local file that is missing or broken.
            OSError: the data set could not be loaded.
        """
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Load the rows of the hub's data set, or of the local file that stands in for it."""
        metadata = self.config.metadata
        folder = data_folder(metadata)
        if folder is None:
            self._download_from_hub(dataset_kwargs, **kwargs)
        else:
            rows = read_rows(folder, metadata["file"], metadata["columns"])
            self.dataset = DatasetDict({self.config.test_split: Dataset.from_list(rows)})
        self._documents: Dataset | None = None

    def _download_from_hub(self, dataset_kwargs: dict[str, Any] | None, **kwargs: Any) -> None:
        try:
            super().download(dataset_kwargs, **kwargs)
        except Exception as error:
            access = self.config.metadata.get("access", "")
            raise OSError(
                f"{self.config.task}: {self.DATASET_PATH} could not be loaded from the hub "
                f"({type(error).__name__}: {error}). {access} A local copy works too: "
                "--metadata l2_data=DIR."
            ) from error

    def test_docs(self) -> Dataset:
        """The documents, made once: lm-eval asks for them several times."""
        if self._documents is None:
            self._documents = super().test_docs()
        return self._documents

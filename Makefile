# Every target does its own set-up: a virtual environment in .venv, once.
PYTHON ?= python3
SUBMISSIONS ?=
ASSIGNMENT ?= 01_saliency
INTO ?= grading
NOTEBOOK ?= notebooks/07_writeup.ipynb
STUDENT ?=
PAGE ?=
BENCH ?=
BRANCH ?=
BIN := .venv/bin
READY := .venv/ready
# A test for each core, and a core for each: torch would take them all for itself.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses logical --dist loadgroup --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo test claims quick page check notebooks figures models students lab pdf grade verify gradescope bench book clean

help: ## List the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | awk -F '\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## Make .venv with everything (the other targets do this themselves)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(f"found Python {v[0]}.{v[1]}; 3.10 or later is wanted: make PYTHON=python3.11" if v < (3, 10) else 0)'
	@echo "Setting up .venv: several GB with torch, about two minutes on a good line."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --progress-bar on --constraint constraints.txt --editable '.[authors]'
	@touch $(READY)

demo: $(READY) ## Grade a small made-up class and show the marks
	$(BIN)/python -m helpers.course demo

test: $(READY) ## Run all tests but those of `make claims`, on all cores
	$(PYTEST) -m "not claims" --durations=15

claims: $(READY) ## Run every figure of every page and hold its numbers against the prose: minutes for each network
	$(PYTEST) -m claims --durations=15

quick: $(READY) ## Run the tests that start no notebook and take no time each, in two minutes
	$(PYTEST) -m "not kernel and not slow and not claims"

page: $(READY) ## Test one assignment, PAGE=02_gradcam: its grader and its checks against all they must reject and accept
	@test -n "$(PAGE)" || { echo "Which assignment? make page PAGE=02_gradcam"; exit 2; }
	$(PYTEST) tests/test_assignments.py tests/test_checks.py -k "$(PAGE)"

check: $(READY) ## Fail where a notebook is not what its source says, or style, types or layers are off
	$(BIN)/python -m helpers.course check
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

notebooks: $(READY) ## Build notebooks/, solutions/*.ipynb and data/released/ from solutions/*.py
	$(BIN)/python -m helpers.course notebooks

figures: $(READY) ## Draw the expected pictures in data/expected/
	$(BIN)/python -m helpers.course figures

models: $(READY) ## Train the networks that are not in data/models/ (resumes where it was stopped)
	$(BIN)/python -m helpers.picturebook.training
	$(BIN)/python -m helpers.sounds.training

students: $(READY) ## Write the students' copy, without answers, to build/students (and the branch BRANCH)
	$(BIN)/python -m helpers.course students $(if $(BRANCH),--branch "$(BRANCH)")

lab: $(READY) ## Open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

pdf: $(READY) ## Make a PDF of the written answers in NOTEBOOK=notebooks/07_writeup.ipynb (of STUDENT="a name")
	$(BIN)/python -m helpers.pdf "$(NOTEBOOK)" $(if $(STUDENT),--name "$(STUDENT)")

grade: $(READY) ## Grade SUBMISSIONS=folder-or-zip, or several, into INTO=grading
	@test -n "$(SUBMISSIONS)" || { echo "Which submissions? make grade SUBMISSIONS=path/to/folder-or-zip"; exit 2; }
	$(BIN)/python -m helpers.course grade "$(SUBMISSIONS)" --into "$(INTO)" $(if $(UNSAFE),--unsafe)

verify: $(READY) ## Tell whether the ledger in INTO=grading is as it was written
	$(BIN)/python -m helpers.course verify "$(INTO)"

gradescope: $(READY) ## Write an autograder zip for ASSIGNMENT=01_saliency to build/
	$(BIN)/python -m helpers.course gradescope $(ASSIGNMENT)

bench: $(READY) ## Measure speed as ratios, side by side (BENCH="sizes --sizes 5 20 60" for a part of it)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.bench $(BENCH)

book: .venv/book ## Build the book from docs/, notebooks/ and helpers/ into build/book/index.html
	$(BIN)/python -m sphinx -c docs -b html -E -W --keep-going -q . build/book
	@echo "The book is build/book/index.html"

.venv/book: $(READY)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[book]'
	@touch .venv/book

clean: ## Remove .venv and everything in build/ and dist/ (marks in grading/ stay)
	rm -rf .venv build dist

"""A small notebook as it is handed out: two exercises and a question."""

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook


def tagged(cell, grade_id, *, grade=False, solution=False, locked=False, points=None):
    tags = {
        "grade_id": grade_id,
        "grade": grade,
        "solution": solution,
        "locked": locked,
        "schema_version": 3,
        "task": False,
    }
    cell.metadata.nbgrader = tags if points is None else tags | {"points": points}
    cell.id = grade_id
    return cell


QUESTION = "Why does it work? Give a reason, in one sentence."
RELEASE = new_notebook(
    metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    cells=[
        new_markdown_cell("# Title", id="title"),
        tagged(new_code_cell("import torch\n\nmodel = torch.nn.Identity()"), "setup-1", locked=True),
        new_markdown_cell("### Exercise 1.1: twice", id="twice"),
        tagged(new_code_cell("def f(x):\n    raise NotImplementedError"), "f", solution=True),
        tagged(new_code_cell("check(f)"), "test_f", grade=True, locked=True, points=4),
        new_markdown_cell("### Exercise 1.2: half", id="half"),
        tagged(new_code_cell("def g(x):\n    raise NotImplementedError"), "g", solution=True),
        tagged(new_code_cell("check(g)"), "test_g", grade=True, locked=True, points=4),
        new_markdown_cell(QUESTION, id="why"),
        tagged(new_markdown_cell("*Your answer here.*"), "q_why", grade=True, solution=True, points=2),
        new_code_cell("draw(f)", id="figure", metadata={"tags": ["figure"]}),
    ],
)
F, G, WHY = "def f(x):\n    return 2 * x", "def g(x):\n    return x / 2", "Because."

"""The rules of a page. Each takes the cells of a page and yields what is wrong with them.

A rule that looks into Python leaves a cell with a syntax error to the rule about syntax.
"""

import ast
import re
from collections.abc import Iterator
from types import CodeType

from helpers.course.pages import rubric
from helpers.course.pages.cells import BANK, HEADING, HIDDEN_TESTS, NOT_SHIPPED, SKIPPED, SOLUTION, Cell, cut, regions
from helpers.course.pages.names import names, parsed
from helpers.course.pages.problems import Problem, problem


def problems_of(cells: list[Cell]) -> list[Problem]:
    """Everything that is wrong with the cells of a page."""
    rules = (
        _title_first,
        _sound_python,
        _blank_line_after_summary,
        _matched_marks,
        _exercises_have_a_stub,
        _exercises_have_a_heading,
        _checks_show_and_hide,
        _one_check_for_each_exercise,
        _names_are_known,
        _names_are_unique,
        _answers_define_the_function,
        _mutants_differ,
        _bank_stands_last,
        _judges_judge,
        _questions_are_asked,
        _rubrics_add_up,
        _collected_figures_stand_alone,
        _figures_end_with_an_expression,
        _nothing_depends_on_a_skipped_cell,
    )
    return [found for rule in rules for found in rule(cells)]


def _line(cell: Cell, number: int) -> dict:
    """What `problem` says of a line of the cell, counted from 0."""
    lines = cell.source.splitlines() or [""]
    return {"found": lines[min(number, len(lines) - 1)].strip(), "line": cell.start + number}


def _tree(source: str) -> ast.Module | None:
    found = parsed(source)
    return None if isinstance(found, SyntaxError) else found[0]


def _code(source: str) -> CodeType | None:
    found = parsed(source)
    return None if isinstance(found, SyntaxError) else found[1]


def _end(node: ast.stmt) -> int:
    """The last line of a statement, from 1."""
    return node.end_lineno or node.lineno


def _functions(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def _title_first(cells: list[Cell]) -> Iterator[Problem]:
    wanted = "a first cell in markdown that starts with `# Title`"
    if not cells:
        yield Problem(1, "page without a title", "no cell", wanted, "write the title cell")
    elif cells[0].kind != "markdown" or not re.match(r"# +\S", cells[0].source):
        yield problem(cells[0], "page without a title", wanted, "put the title cell first")


def _sound_python(cells: list[Cell]) -> Iterator[Problem]:
    for cell in cells:
        if not cell.is_markdown and isinstance(error := parsed(cell.source), SyntaxError):
            where = _line(cell, (error.lineno or 1) - 1)
            advice = "write a magic command as Python" if where["found"].startswith(("%", "!")) else "mend the line"
            yield problem(cell, "Python syntax", f"Python ({error.msg})", advice, **where)


def _blank_line_after_summary(cells: list[Cell]) -> Iterator[Problem]:
    for cell in cells:
        lines = cell.source.splitlines() if cell.is_markdown else []
        for number, line in enumerate(lines):
            _, tag, rest = line.partition("</summary>")
            if tag and (rest.strip() or "".join(lines[number + 1 : number + 2]).strip()):
                wanted = "a blank line after it, or Colab shows what follows as plain text"
                rule = "</summary> without a blank line after it"
                yield problem(cell, rule, wanted, "add the line", **_line(cell, number))


def _matched_marks(cells: list[Cell]) -> Iterator[Problem]:
    homes = {SOLUTION: ("exercise", "question"), HIDDEN_TESTS: ("check",)}
    for cell in cells:
        for label, kinds in homes.items():
            try:
                found = regions(cell.source, label)
            except ValueError as error:
                wanted = f"### BEGIN {label}, then ### END {label}, not nested"
                rule = f"unmatched {label} mark"
                yield problem(cell, rule, wanted, "add the other mark", **_line(cell, error.args[0]))
                continue
            if found and cell.kind not in kinds:
                wanted = f"{label} marks in {' or '.join(kinds)} cells alone"
                advice = "tag the cell, or take the marks out"
                rule = f"{label} mark in a {cell.kind} cell"
                yield problem(cell, rule, wanted, advice, **_line(cell, found[0][0]))


def _marked(cell: Cell, label: str) -> list[tuple[int, int]] | None:
    """The regions of a cell, or None where its marks do not match, which is another rule's business."""
    try:
        return regions(cell.source, label)
    except ValueError:
        return None


def _exercises_have_a_stub(cells: list[Cell]) -> Iterator[Problem]:
    for cell in cells:
        if cell.kind != "exercise":
            continue
        solutions = _marked(cell, SOLUTION)
        if solutions == []:
            wanted = "### BEGIN SOLUTION ... ### END SOLUTION inside the function's body"
            yield problem(cell, "exercise without a solution region", wanted, "mark the lines students write")
        if not (tree := _tree(cell.source)):
            continue
        functions = _functions(tree)
        if cell.name not in functions:
            wanted = f"`def {cell.name}(...)` at the top level of the cell"
            found = f"{cell.marker} over {', '.join(f'`def {name}`' for name in functions) or 'no function'}"
            advice = "give function and exercise one name"
            yield problem(cell, "exercise does not define its function", wanted, advice, found)
            continue
        function = functions[cell.name]
        documented = ast.get_docstring(function) is not None
        if not documented:
            wanted = f"a docstring in `{cell.name}` with its contract"
            where = _line(cell, function.lineno - 1)
            yield problem(cell, "exercise without a docstring", wanted, "say what goes in and comes out", **where)
        if not solutions:
            continue
        where = _line(cell, solutions[0][0])
        top = _end(function.body[0]) if documented else function.lineno
        if not any(top <= first < _end(function) for first, _ in solutions):
            wanted = f"the region inside `{cell.name}`, below its docstring"
            advice = "leave signature and docstring to the student"
            yield problem(cell, "solution region outside the function", wanted, advice, **where)
        elif not _tree(cut(cell.source, SOLUTION, "raise NotImplementedError")):
            wanted = "Python, also with a `raise` in the place of the region"
            advice = "begin the region at the indentation of the statements it replaces"
            yield problem(cell, "stub is not Python", wanted, advice, **where)


def _exercises_have_a_heading(cells: list[Cell]) -> Iterator[Problem]:
    headings, similar = [], []  # since the last exercise

    def left_over(headings: list[tuple[Cell, int, str]]) -> Iterator[Problem]:
        wanted = "one exercise cell after each exercise heading"
        for cell, line, text in headings:
            yield problem(cell, "heading without an exercise", wanted, "write the exercise", text, line)

    for cell in cells:
        headings += [(cell, line, text) for line, text in cell.headings]
        if cell.kind == "markdown":
            similar += re.findall(r"^#+ *Exercise.*", cell.source, re.MULTILINE)
        if cell.kind == "exercise":
            if not headings:
                wanted = "`### Exercise N.M: words` in the prose before it"
                found = similar[-1] if similar else cell.marker
                yield problem(cell, "exercise without a heading", wanted, "write it in this form", found)
            yield from left_over(headings[:-1])
            headings, similar = [], []
    yield from left_over(headings)


def _checks_show_and_hide(cells: list[Cell]) -> Iterator[Problem]:
    for cell in cells:
        hidden = _marked(cell, HIDDEN_TESTS) if cell.kind == "check" else None
        tree = _tree(cell.source)
        if hidden is None or tree is None:
            continue
        visible = _tree(cut(cell.source, HIDDEN_TESTS))
        if visible is None:
            wanted = "Python, also without the hidden tests"
            yield problem(cell, "visible part is not Python", wanted, "hide whole statements")
            continue
        if not visible.body:
            wanted = f"a line that students see, such as `checks.{cell.name}({cell.name})`"
            yield problem(cell, "check with nothing visible", wanted, "write it above the hidden tests")
        if len(tree.body) == len(visible.body):
            wanted = "### BEGIN HIDDEN TESTS, statements, ### END HIDDEN TESTS"
            yield problem(cell, "check without hidden tests", wanted, "write the tests that give the marks")
        elif any(_end(node) > hidden[0][1] for node in tree.body) or len(hidden) > 1:
            wanted = "one hidden region, last in the cell: the two parts are run one after the other"
            where = _line(cell, hidden[0][0])
            yield problem(cell, "hidden tests not at the end", wanted, "put the visible lines first", **where)


def _one_check_for_each_exercise(cells: list[Cell]) -> Iterator[Problem]:
    exercises = {cell.name for cell in cells if cell.kind == "exercise"}
    checked = {cell.name for cell in cells if cell.kind == "check"}
    before = None
    for cell in cells:
        if cell.kind == "exercise" and cell.name not in checked:
            wanted = f'`# %% check="{cell.name}" points=N` after it'
            yield problem(cell, "exercise without a check", wanted, "write its check")
        follows = before is not None and (before.kind, before.name) == ("exercise", cell.name)
        if cell.kind == "check" and cell.name in exercises and not follows:
            wanted = f'exercise="{cell.name}" before it, and nothing graded between'
            found = f"{cell.marker} after {before.marker if before else 'no exercise'}"
            advice = "move the check to its exercise"
            yield problem(cell, "check not directly after its exercise", wanted, advice, found)
        if cell.kind in ("exercise", "check", "question"):
            before = cell


def _names_are_known(cells: list[Cell]) -> Iterator[Problem]:
    exercises = {cell.name for cell in cells if cell.kind == "exercise"}
    for cell in cells:
        if cell.kind in ("check", *NOT_SHIPPED) and cell.name and cell.name not in exercises:
            wanted = f"one of {', '.join(sorted(exercises))}" if exercises else "an exercise on this page"
            yield problem(cell, f"{cell.kind} of an unknown exercise", wanted, "correct the name")


def _names_are_unique(cells: list[Cell]) -> Iterator[Problem]:
    taken: dict[str, Cell] = {}
    numbered: dict[str, int] = {}
    ids = {"exercise": "{}", "question": "{}", "figure": "{}", "check": "test_{}", "judge": "judge of {}"}
    for cell in cells:
        for line, heading in cell.headings:
            number = HEADING.sub(r"\1", heading)
            if number in numbered:
                wanted = f"a number of its own; line {numbered[number]} has {number} too"
                yield problem(cell, "two exercises of one number", wanted, "renumber one", heading, line)
            numbered.setdefault(number, line)
        if cell.kind not in ids or not cell.name:
            continue
        name = ids[cell.kind].format(cell.name)
        if first := taken.get(name):
            rule = f"two {cell.kind}s of one name" if first.kind == cell.kind else "duplicate id"
            wanted = f"a name of its own; line {first.line} has {name!r} too"
            yield problem(cell, rule, wanted, "rename or delete one of the two")
        taken.setdefault(name, cell)


def _answers_define_the_function(cells: list[Cell]) -> Iterator[Problem]:
    for cell in cells:
        if cell.kind not in ("mutant", "variant") or not (code := _code(cell.source)):
            continue
        if cell.name not in names(code).bound:
            wanted = f"`def {cell.name}(...)`, complete, at the top level of the cell"
            yield problem(cell, f"{cell.kind} does not define the function", wanted, "define it")


def _mutants_differ(cells: list[Cell]) -> Iterator[Problem]:
    said: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        if cell.kind == "mutant" and cell.says:
            if first := said.get((cell.name, cell.says)):
                wanted = f"a diagnosis of its own; line {first.line} says the same"
                yield problem(cell, "two mutants say the same", wanted, "say what sets this mistake apart")
            said.setdefault((cell.name, cell.says), cell)


def _bank_stands_last(cells: list[Cell]) -> Iterator[Problem]:
    shipped = [number for number, cell in enumerate(cells) if cell.kind not in NOT_SHIPPED]
    early = next((cell for cell in cells[: max(shipped, default=0)] if cell.kind in BANK), None)
    if early:
        wanted = "mistakes, mutants and variants behind the last cell of the page, which reads as a page then"
        yield problem(early, "bank before the end of the page", wanted, "move it to the end of the file")


def _judges_judge(cells: list[Cell]) -> Iterator[Problem]:
    for cell in cells:
        if cell.kind == "judge" and (tree := _tree(cell.source)):
            judge = _functions(tree).get("judge")
            if not judge or len(judge.args.posonlyargs + judge.args.args) != 4:
                wanted = "`def judge(part, got, want, given)` at the top level of the cell"
                yield problem(cell, "judge does not define judge", wanted, "define it")


def _questions_are_asked(cells: list[Cell]) -> Iterator[Problem]:
    before = None
    for cell in cells:
        if cell.kind == "question":
            if before is None or before.kind != "markdown":
                wanted = "the question's text in the markdown cell before it; local cells may stand between"
                found = f"{cell.marker} after {before.marker if before else 'nothing'}"
                yield problem(cell, "question without prose", wanted, "ask the question there", found)
            if _marked(cell, SOLUTION) == []:
                wanted = "### BEGIN SOLUTION, model answer and rubric, ### END SOLUTION"
                rule = "question without a solution region"
                yield problem(cell, rule, wanted, "wrap the answer in the marks")
        if cell.kind not in (*NOT_SHIPPED, "local"):
            before = cell


def _rubrics_add_up(cells: list[Cell]) -> Iterator[Problem]:
    for cell in cells:
        # What else is wrong with the cell is another rule's business.
        whole = cell.marker.startswith("# %% [markdown]") and cell.points and _marked(cell, SOLUTION)
        if cell.kind == "question" and whole:
            try:
                rubric.of(cell)
            except ValueError as error:
                found, _, wanted = str(error).partition("; wanted ")
                yield problem(
                    cell, "question without a sound rubric", wanted, "see CONTRIBUTING.md for the form", found
                )


def _collected_figures_stand_alone(cells: list[Cell]) -> Iterator[Problem]:
    for cell in cells:
        if cell.kind == "local" and "saved_figure(" in cell.source and not cell.collects:
            wanted = '`saved_figure("NN_topic-figure")` and nothing else: grading finds the picture by this line'
            rule = "local cell that does more than show a figure"
            yield problem(cell, rule, wanted, "put the rest into a cell of its own")


def _figures_end_with_an_expression(cells: list[Cell]) -> Iterator[Problem]:
    for cell in cells:
        tree = _tree(cell.source) if cell.kind == "figure" else None
        if tree and tree.body and not isinstance(tree.body[-1], ast.Expr):
            wanted = "an expression that gives a Figure as the last statement"
            where = _line(cell, tree.body[-1].lineno - 1)
            yield problem(cell, "figure does not end with an expression", wanted, "end with it", **where)


def _nothing_depends_on_a_skipped_cell(cells: list[Cell]) -> Iterator[Problem]:
    skipped: dict[str, Cell] = {}  # name -> the cell that was the last to bind it, where that is skipped
    for cell in cells:
        if cell.is_markdown or cell.kind == "judge" or not (code := _code(cell.source)):
            continue
        found = names(code)
        # An example may be run after all, with the examples that it needs.
        missing = {name for name, origin in skipped.items() if (cell.kind, origin.kind) != ("example", "example")}
        for name in sorted(found.needed & missing) if cell.kind not in ("figure", "local") else ():
            tree = ast.walk(ast.parse(cell.source))
            uses = [node for node in tree if isinstance(node, ast.Name) and node.id == name]
            origin = skipped[name]
            wanted = f"`{name}` from an ordinary cell; the {origin.kind} of line {origin.line} is skipped in grading"
            where = _line(cell, min(node.lineno for node in uses) - 1)
            a = "an" if origin.kind == "example" else "a"
            rule, advice = f"name from {a} {origin.kind} used later", f"make `{name}` in its own cell"
            yield problem(cell, rule, wanted, advice, **where)
        if cell.kind in SKIPPED:
            skipped |= dict.fromkeys(found.bound, cell)
        elif cell.kind not in NOT_SHIPPED:
            skipped = {name: origin for name, origin in skipped.items() if name not in found.bound}

(function () {
  // nbgrader sets up its keys once MathJax has come from the net; without a net it never does.
  window.MathJax = window.MathJax || {Hub: {Startup: {signal: {Interest: done => done("End")}}}};
  // A heading in an answer has an id made of its text, which could be that of another answer's score field.
  document.querySelectorAll("h1, h2, h3, h4, h5, h6").forEach(heading => heading.removeAttribute("id"));
  const rubrics = [...document.querySelectorAll(".rubric")].map(element => {
    const name = element.dataset.question;
    const score = document.getElementById(name), comment = document.getElementById(name + "-comment");
    const boxes = [...element.querySelectorAll("input")];
    const ticked = () => boxes.filter(box => box.checked).map(box => box.dataset.tick).join("\n");
    let known = "";
    const points = boxes => boxes.reduce((sum, box) => sum + Number(box.dataset.points), 0);
    const sum = () => points(boxes.filter(box => box.checked));
    comment.closest(".panel-footer").before(element);
    function count() {
      element.querySelector(".count").textContent = `${sum()} of ${points(boxes)} points ticked`;
    }
    function read() {
      const lines = comment.value.split("\n").map(line => line.trimEnd());
      boxes.forEach(box => { box.checked = lines.includes(box.dataset.tick); });
      known = ticked();
      count();
    }
    function write() {
      // nbgrader triggers a change of whatever has the focus before it goes to the next submission.
      if (ticked() !== known) {
        const ticks = boxes.map(box => box.dataset.tick);
        const typed = comment.value.split("\n").filter(line => !ticks.includes(line.trimEnd())).join("\n").trim();
        comment.value = [typed, ticked()].filter(Boolean).join("\n\n");
        score.value = sum();
        known = ticked();
        autosize.update(comment);
        count();
        $(comment).trigger("change");
      }
      // As typing does: nbgrader saves on change.
      $(score).trigger("change");
    }
    $(boxes).on("change", write);
    $(comment).on("input", () => {
      const before = known;
      read();
      if (known === before) return;
      score.value = sum();
      $(score).trigger("change");
    });
    return {name, element, boxes, read};
  });
  $(window).on("load", () => rubrics.forEach(rubric => {
    // nbgrader would scroll the page at every tick.
    $(rubric.boxes).off("focus").on("focus", event => { formgrader.last_selected = $(event.target); });
  }));
  let loaded = false;
  $(document).on("ajaxComplete", () => {
    if (!formgrader.grades.loaded || !formgrader.comments.loaded) return;
    rubrics.forEach(rubric => {
      const grade = formgrader.grades.findWhere({name: rubric.name});
      const review = grade.get("needs_manual_grade") && grade.get("manual_score") !== null;
      $(rubric.element).find(".review").toggle(review);
      // Once: an answer of the server may be older than the last tick.
      if (loaded) return;
      rubric.read();
      rubric.boxes.forEach(box => { box.disabled = false; });
    });
    loaded = true;
  });
})();

"""The checks that students run under each exercise: one module per assignment, in it one `Checks` per exercise."""

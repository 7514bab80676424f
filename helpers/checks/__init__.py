"""The checks that students run under each exercise: one module per assignment, one function per exercise."""

"""Policy files: YAML that is judged as a whole, and the detached signatures that lie beside it."""

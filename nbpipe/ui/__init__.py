"""What people see in a notebook: view models as JSON, and the widget that shows them. Nothing here writes a run."""

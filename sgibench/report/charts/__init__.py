"""matplotlib drawings for a page; they know rows, looks and figures, and nothing about runs or statistics."""

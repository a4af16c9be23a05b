"""The page ``index.html``: its parts, its template, its style and its script."""

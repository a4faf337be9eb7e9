"""The report as one self-contained page of HTML. The only folder that knows jinja2."""

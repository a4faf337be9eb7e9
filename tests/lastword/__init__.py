"""Before "complete", the same last questions are asked, whatever pass came to it."""

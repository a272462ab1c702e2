"""``no502 adopt``: an existing project gets the ladder. Read with doctor's readers, plan, patch, check."""

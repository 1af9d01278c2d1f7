"""Computing an importance matrix from the window: what stands below its field, and the step that makes one."""

"""Where jobs run. One small protocol; `local` here, others beside it."""

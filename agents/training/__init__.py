"""What every training needs: choosing the best model, checkpoints, and files that are never half written."""

"""What a comparison shows: results, charts and pages."""

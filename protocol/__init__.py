"""Who claims what, who may object, who pays."""

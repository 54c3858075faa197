"""The tools of agents. This package imports no other package of the product: the app implements its ports."""

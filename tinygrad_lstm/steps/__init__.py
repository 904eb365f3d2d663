"""Steps of any cell in a graph that ran: their nodes, the parts of a picture, where these stand, what they keep."""

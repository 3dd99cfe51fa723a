//! The secsipid module of Kamailio.

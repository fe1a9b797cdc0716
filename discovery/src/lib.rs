//! Where endpoints come from and whether they answer.

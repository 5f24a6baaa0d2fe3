// A module of its own: the program is a guest of the tests, no part of upall.
module static

go 1.26.0

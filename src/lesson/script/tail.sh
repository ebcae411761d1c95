
reached
[ "$wrong" = 0 ]

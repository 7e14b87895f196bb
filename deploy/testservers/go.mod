module flyball/deploy/testservers

go 1.26.0

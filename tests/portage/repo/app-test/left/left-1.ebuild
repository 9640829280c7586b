EAPI=8

inherit pair

EAPI=8

inherit pair

# Root compiles this one, while user portage compiles the other.
RESTRICT+=" userpriv"

"""The fifty attributes in words: how the menu asks for each, and by what else it is recognised.

Patterns are of plain text: lower case, contractions written out (see :mod:`~dialogym.envs.understanding.text`).
"""

from __future__ import annotations

from collections.abc import Mapping

QUESTIONS: Mapping[str, str] = {
    "alive": "Is it alive?",
    "animal": "Is it an animal?",
    "plant": "Is it a plant?",
    "made": "Is it made by people?",
    "bird": "Is it a bird?",
    "fish": "Is it a fish?",
    "insect": "Is it an insect?",
    "mammal": "Is it a mammal?",
    "pet": "Is it kept as a pet?",
    "farm": "Would you find it on a farm?",
    "fierce": "Can it be dangerous?",
    "flies": "Can it fly?",
    "swims": "Can it swim or float?",
    "fur": "Does it have fur or hair?",
    "legs": "Does it have legs?",
    "fruit": "Is it a fruit?",
    "vegetable": "Is it a vegetable?",
    "eaten": "Do people eat it?",
    "sweet": "Does it taste sweet?",
    "drunk": "Do people drink it?",
    "tool": "Is it a tool?",
    "furniture": "Is it a piece of furniture?",
    "vehicle": "Is it a vehicle?",
    "wheels": "Does it have wheels?",
    "worn": "Do people wear it?",
    "electric": "Is it electric?",
    "toy": "Do people play with it?",
    "music": "Does it make music?",
    "big": "Is it bigger than a person?",
    "small": "Can you hold it in one hand?",
    "kitchen": "Would you find it in a kitchen?",
    "metal": "Is it made of metal?",
    "wooden": "Is it made of wood?",
    "glass": "Is it made of glass?",
    "paper": "Does it have to do with paper?",
    "round": "Is it round?",
    "red": "Is it red?",
    "green": "Is it green?",
    "yellow": "Is it yellow?",
    "white": "Is it white?",
    "sound": "Does it make a sound?",
    "outdoors": "Would you find it outdoors?",
    "water": "Does it have to do with water?",
    "sport": "Is it used for sport?",
    "light": "Does it give light?",
    "hot": "Is it hot?",
    "cold": "Does it have to do with cold?",
    "body": "Is it part of a body?",
    "building": "Is it a building or part of one?",
    "school": "Would you find it in a school?",
}
"""For each attribute how the menu asks for it."""

_PEOPLE = r"(?:people|humans?|human beings?|man|mankind|humankind|humanity|us|someone|somebody|a person|a human|hand)"
_EATERS = r"(?:you|i|we|people|humans|one|someone|anyone|most people|a person)"
_PERSON = (
    r"(?:(?:a |an |the |any |your )?(?:average |adult |normal |typical |grown |full-grown |average-sized )*"
    r"(?:person|human being|human|man|woman|adult|adult human|grown-up)|me|you|us|people|humans|i am|you are)"
)
_MOSTLY = r"(?:mostly |mainly |primarily |partly |usually |typically |entirely |largely |often |commonly )*"
_MADE_OF = rf"(?:{_MOSTLY}(?:made|constructed|built|composed|consists?) {_MOSTLY}(?:out )?(?:of|from) {_MOSTLY})?"
_MAKES = r"(?:make|give|emit|produce|provide|cast)s?(?: off| out)?"
_HAND = (
    r"(?:(?:in|into|inside|with) (?:only |just )?(?:(?:the )?palm of )?(?:one|a|an|the|your|my|a single|"
    r"a person'?s|one'?s|someone'?s)(?: own| average| human)? (?:hand|palm))"
)

PATTERNS: Mapping[str, str] = {
    "alive": r"alive|living(?: (?:things?|beings?|creatures?|organisms?))?|lives and breathes|breathes?|breathing|"
    r"animate|organisms?|a (?:creature|being)|creatures?|live(?=\Z)",
    "animal": r"animals?(?: kingdom)?|beasts?|critters?|living creatures?",
    "plant": r"plants?(?: kingdom)?|from a plant|plant-based|vegetation|flora|botanical|"
    r"(?:grow|grows|grown) (?:in|out of|from) (?:the |a )?(?:ground|soil|earth|garden|seeds?)",
    "made": r"(?:hu)?man[- ]?made|made (?:or built )?by "
    + _PEOPLE
    + r"|(?:built|created|produced|constructed|crafted|invented|designed) by "
    + _PEOPLE
    + r"|manufactured|artificial|synthetic|made in (?:a |the )?factor(?:y|ies)|human inventions?|"
    r"(?:do|did|does|would|can) (?:people|humans) (?:make|manufacture|produce|build|create)(?: it)?|"
    r"made(?! (?:up |out )?(?:mostly |mainly |primarily |partly |usually |with|from|of|out|in|to|for))",
    "bird": r"birds?|avian",
    "fish": r"fish|fishes",
    "insect": r"insects?|bugs?",
    "mammal": r"mammals?|mammalian",
    "pet": r"(?:kept |keep (?:it |one )?|has it |have (?:it|one) )?(?:as )?(?:a )?(?:house ?hold |house |family |"
    r"domestic |common )?pets?",
    "farm": r"(?:farm|farms|farmyard|farmyards|livestock|barnyard)",
    "fierce": r"dangerous|danger|fierce|harmful|deadly|lethal|aggressive|(?:a )?threat|"
    r"(?:hurt|harm|injure|kill|attack)(?: (?:me|you|people|someone|somebody|a person|a human|humans|us))?",
    "flies": r"(?<!a )(?<!the )fly|flies|flying|airborne|(?:capable of|able to) (?:flight|fly)",
    "swims": r"swim(?:s|ming)?(?: (?:or|and) float)?|floats?(?: on water| in water)?|floating",
    "fur": r"fur or hair|fur|furry|(?<!the )hair|hairy|(?:a )?coat of (?:fur|hair)",
    "legs": r"legs?|walks? on (?:its )?legs",
    "fruit": r"fruits?",
    "vegetable": r"vegetables?|veggies?|veg",
    "eaten": r"(?:eat|eats|eating) (?:it|them|one)|eaten|edible|"
    + _EATERS
    + r" (?:\w+ly |can |could |would |often |may |might |like to |to )*eat|"
    r"(?:something|thing|anything|good|safe|nice|tasty) to eat|eat(?=\Z)|foods?(?:stuffs?)?|food items?|consume it|"
    r"consumed as food",
    "sweet": r"(?:taste |tastes |tasting )?sweet(?:-tasting)?|sugary",
    "drunk": r"drink it|drunk|drinkable|drinks?|beverages?|" + _EATERS + r" (?:\w+ly |can |could |would |often )*drink",
    "tool": r"(?:hand )?tools?",
    "furniture": r"(?:(?:a |any )?(?:pieces?|items?|types?|kinds?|sorts?|bits?) of )?furniture|furnishings?",
    "vehicle": r"vehicles?|(?:means|mode|form|method) of (?:transport|transportation|travel)|transport(?:ation)?|"
    r"(?:ride|travel|drive around) (?:in|on|by|with) it|(?:drive|ride) it|get around (?:in|on|with) it",
    "wheels": r"wheels?|wheeled",
    "worn": r"wear(?:s|ing|able)?(?: it)?|worn|cloth(?:es|ing)|garments?|apparel|articles? of clothing|"
    r"items? of clothing|put it on(?: your body)?",
    "electric": r"electric|electrical|electricity|electronics?|electronic|battery-(?:powered|operated)|"
    r"electrically[ -]powered|electric power|"
    r"(?:(?:run|runs|work|works|operate|operates|powered) (?:on|by|with) )?(?:batter(?:y|ies)|electricity|mains)"
    r"(?: (?:or|and) (?:a |an )?(?:power (?:outlet|socket|supply)|electricity|batter(?:y|ies)))?|"
    r"(?:power|electrical) (?:outlet|socket|supply)|plug(?:s|ged)?(?: it)? in(?:to (?:a|the) (?:wall|socket|outlet))?",
    "toy": r"toys?|(?:play|plays|played|playing) with(?: it)?|plaything",
    "music": r"music|musical(?: instruments?)?|(?:make|makes|play|plays|produce|produces|create|creates) music|"
    r"instruments?(?= (?:you|people|we|i|to) |\Z)|melod(?:y|ies)",
    "big": r"(?:bigger|larger|greater) (?:in size )?than " + _PERSON + r"|(?<!how )big|large|huge|enormous|gigantic|"
    r"massive|giant|bigger|larger",
    "small": r"(?:(?:small|little|tiny|light) enough to )?(?:be )?(?:hold|held|carry|carried|fit|fits|pick|picked|"
    r"lift|lifted|grasp|put)(?: it)?(?: up)?(?: easily| comfortably)? "
    + _HAND
    + r"|"
    + _HAND
    + r"|hand[- ]?held|hand-sized|"
    r"small|little|tiny|palm-sized",
    "kitchen": r"kitchens?",
    "metal": _MADE_OF + r"metal(?:lic|s)?",
    "wooden": _MADE_OF + r"wood(?:en)?",
    "glass": _MADE_OF + r"glass",
    "paper": _MADE_OF + r"paper",
    "round": r"round(?:,? like a (?:ball|circle))?|circular|spherical|ball-shaped|rounded|"
    r"shaped like a (?:ball|circle|sphere)|a (?:circle|sphere)",
    "red": r"red|(?:colou?r|coloured|colored) red|red-colou?red",
    "green": r"green|green-colou?red",
    "yellow": r"yellow|yellow-colou?red",
    "white": r"white|white-colou?red",
    "sound": _MAKES
    + r" (?:a |an |any |some |loud |much |lots of )*(?:sounds?|noises?)|sounds?|noises?|noisy|loud|audible",
    "outdoors": r"outdoors?|outside|out of doors|(?:in|under) the open(?: air)?|in the wild",
    "water": r"water|aquatic|underwater|(?:live|lives|found|used) (?:in|on|under|near) (?:the )?(?:water|sea|ocean)|"
    r"marine",
    "sport": r"sports?|sporting|athletics?|games?",
    "light": _MAKES
    + r" (?:off |out )?(?:a |any |some )*light|light|glows?|shines?|(?:a )?(?:light source|source of light)|"
    r"luminous|light(?:s|ing)? up(?: a room| the room| rooms)?",
    "hot": r"hot|(?:a )?source of heat|(?:" + _MAKES + r" )?heat",
    "cold": r"cold|freezing|frozen|icy|chilly",
    "body": r"(?:(?:a |any )?part of (?:a |an |the |your |my |our |one's )?(?:human |person's |animal's |animal )?|"
    r"(?:on|in) (?:the|your|my|our|a) (?:human )?)?bod(?:y|ies)(?: parts?)?|anatomy|body parts?|organs?",
    "building": r"(?:a )?(?:buildings?|structures?)(?: or (?:a )?part of (?:one|a building))?|part of a building|"
    r"architecture",
    "school": r"schools?|classrooms?",
}
"""For each attribute what means it."""

OPPOSITES: Mapping[str, str] = {
    "alive": r"inanimate|non-?living|not (?:alive|living)|lifeless|never (?:been )?alive|inorganic|dead",
    "made": r"natural|naturally occurring|occurs? (?:naturally|in nature)|(?:found|made|exists?|come|comes) "
    r"(?:in|by|from) nature|of natural origin|not (?:hu)?man[- ]?made",
    "fierce": r"harmless|safe",
    "big": r"(?:smaller|littler) (?:in size )?than " + _PERSON,
}
"""And what means that it is not so."""

OTHER_NAMES: Mapping[str, str] = {
    "airplane": "aeroplane", "plane": "aeroplane", "refrigerator": "fridge", "motorcycle": "motorbike",
    "bike": "bicycle", "couch": "sofa", "tv": "television", "television set": "television", "phone": "telephone",
    "ladybug": "ladybird", "cookie": "biscuit", "flashlight": "torch", "pants": "trousers", "bunny": "rabbit",
    "kitty": "cat", "lightbulb": "light bulb", "ocean": "sea", "rock": "stone",
    "hair dryer": "hairdryer", "soccer ball": "football", "eyeglasses": "glasses", "spectacles": "glasses",
    "wristwatch": "watch", "swimming costume": "swimsuit", "bathing suit": "swimsuit", "shovel": "spade",
    "automobile": "car", "teddy": "teddy bear", 
    "bookcase": "bookshelf", "skillet": "frying pan", "cup of tea": "tea",
    "cup of coffee": "coffee", "glass of wine": "wine", "maize": "corn", 
}  # fmt: skip
"""Other names of things, where a table has the thing and no thing of that name."""

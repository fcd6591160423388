"""Common words of English captions: a capital makes none of them a name.

Alt texts are often titles (`Golden Retriever Puppy Playing In The Park`) or shouted, so a capital
says little there; what is left after these words may be a name. Our own list: things, animals,
food, people, places, materials, colours, sizes, what shops and stock-picture sites add.
"""

from functools import lru_cache

_LISTED = """
about above across after again against all almost along also although always am among an and
another any are around as at away back be because been before behind being below beneath beside
best better between big both but by can close could day did do does done down during each early
either else empty end enough even ever every few first for forward free from front full get
give go good great had half has have he her here high his hot how if in inside into is it its
just keep know large last late left less let life like little live long look lot low made make
man many may me mine more most much must my near never new next nice no none not nothing now of
off often old on once one only open or other our out outside over own part per please quick
rare ready real right same see set she short should show side since small so some someone soon
still such take than that the their them then there these they thing this those through time to
together too top toward towards two under until up upon us use used very view was way we well
were what when where which while white who whole whose why will with within without woman work
would you young your

image photo photograph picture photography pic snapshot shot screenshot screen illustration
drawing painting sketch artwork art print poster banner logo icon symbol sign signage vector
clipart graphic graphics render design template mockup background wallpaper texture pattern
stock download thumbnail cover header footer page website site web blog post article gallery
slide slideshow video clip movie film trailer caption title text quote map chart graph diagram
table plot figure infographic overview example sample preview portrait landscape selfie closeup
view scene scenery panorama aerial detail concept idea collection series album book magazine
newspaper cartoon comic meme emoji sticker label card postcard flyer brochure invitation
greeting frame canvas mural sculpture statue monument figurine model prototype copy original
official royalty license licensed editorial exclusive premium quality resolution digital online
price sale discount offer deal buy shop shopping store order shipping delivery gift present
coupon cheap expensive luxury classic modern vintage retro antique traditional contemporary
custom handmade personalized brand style fashion trendy popular famous amazing awesome beautiful
gorgeous lovely pretty cute funny happy merry sad angry bright dark light colorful colourful
simple elegant unique perfect ultimate complete easy fast slow strong soft hard heavy wet dry
warm cool cold fresh clean dirty broken rusty shiny smooth rough sharp round square flat thick
thin wide narrow deep tall tiny huge giant mini micro mega super extra ultra double single
triple multi different various several assorted mixed official authentic genuine portable
wireless electric electronic automatic manual adjustable foldable waterproof

red orange yellow green blue purple violet pink brown black white gray grey gold golden silver
bronze beige cream ivory navy teal turquoise maroon scarlet crimson magenta cyan

people person man men woman women boy girl child kid baby toddler teenager teen adult family
couple friend group crowd team player mother father mom mum dad parent son daughter brother
sister husband wife bride groom grandmother grandfather king queen prince princess lady
gentleman guy student teacher doctor nurse worker engineer farmer chef cook waiter driver rider
runner cyclist surfer swimmer dancer singer musician actor actress artist author writer
painter photographer soldier officer police policeman firefighter pilot astronaut scientist
lawyer judge president minister mayor chancellor senator governor secretary director manager
chairman ceo founder captain coach champion winner fan tourist visitor customer audience
speaker candidate leader member staff crew head face eye hair hand arm leg foot feet finger
nose mouth ear skin smile body heart tattoo beard

dog cat puppy kitten horse pony cow bull calf sheep lamb goat pig chicken hen rooster duck goose
swan turkey bird eagle owl hawk parrot penguin pigeon seagull crow sparrow fish shark whale
dolphin seal turtle tortoise frog toad snake lizard crocodile dinosaur dragon unicorn lion tiger
bear wolf fox deer elk moose rabbit bunny hare squirrel mouse rat hamster monkey gorilla
elephant giraffe zebra rhino hippo camel donkey kangaroo koala panda insect bee butterfly ant
spider beetle fly dragonfly animal pet wildlife retriever labrador poodle bulldog terrier
shepherd husky corgi breed

tree flower rose tulip daisy lily sunflower orchid lavender plant leaf leaves grass bush branch
seed root garden forest wood woods jungle field meadow hill mountain valley cliff canyon rock
stone sand desert beach coast shore island sea ocean lake river stream waterfall pond water
wave ice snow rain storm cloud sky sun sunset sunrise moon star night morning evening afternoon
dusk dawn day spring summer autumn fall winter season weather fog mist rainbow fire smoke earth
world planet space galaxy universe nature volcano cave reef pier harbour harbor bay gulf cape

house home building tower castle palace church cathedral temple mosque abbey chapel basilica
museum library school university college institute academy hospital hotel restaurant cafe bar
pub kitchen bathroom bedroom room office studio garage hall lobby market mall supermarket
station airport bridge tunnel road street avenue lane highway path trail sidewalk square park
plaza playground stadium arena theatre theater cinema zoo farm barn mill factory warehouse
wall floor roof ceiling window door gate fence stairs balcony terrace porch yard city town
village downtown skyline suburb district county region country state nation border capital
north south east west northern southern eastern western central upper lower mount port fort

car truck bus van taxi train tram subway metro bike bicycle motorcycle scooter boat ship yacht
ferry canoe kayak plane airplane aircraft helicopter jet rocket drone tractor wagon cart wheel
tire engine vehicle parking traffic rally race racing cycling running walking hiking climbing
swimming surfing skiing skating fishing hunting camping travel trip tour vacation holiday
journey flight cruise

chair table desk sofa couch bed bench shelf cabinet drawer closet lamp candle mirror clock
watch vase carpet rug curtain pillow cushion blanket towel basket box bag backpack purse wallet
suitcase bottle cup mug glass plate bowl dish fork knife spoon pan pot oven stove fridge
refrigerator sink toilet shower bathtub umbrella key lock tool hammer drill saw screw nail rope
chain toy doll teddy ball balloon kite puzzle game board dice guitar piano violin drum trumpet
phone smartphone mobile cell computer laptop tablet keyboard monitor television tv radio camera
lens battery charger cable speaker headphone headphones earphone printer robot machine device
gadget equipment remote control button switch screen display pen pencil paper notebook envelope
letter stamp ticket coin money bill bank flag medal trophy award crown ring necklace bracelet
earring jewelry diamond pearl glasses sunglasses hat cap helmet scarf glove shirt tshirt tee
blouse sweater hoodie jacket coat suit dress skirt pants trousers jeans shorts sock shoe shoes
boot sandal sneaker heel uniform costume mask apron belt tie button zipper pocket sleeve
cotton wool silk leather denim lace fabric cloth metal steel iron copper brass aluminum plastic
rubber wooden bamboo marble granite concrete brick ceramic porcelain clay paint ink oil gas
coal power energy

food meal breakfast lunch dinner snack dessert bread toast cake cookie pie pastry donut muffin
pancake waffle pizza pasta spaghetti noodle rice soup salad sandwich burger hamburger fries
steak meat beef pork bacon ham sausage egg cheese butter milk yogurt chocolate candy sugar honey
jam salt pepper spice sauce apple banana orange lemon lime grape strawberry blueberry raspberry
cherry peach pear plum pineapple mango melon watermelon coconut tomato potato carrot onion
garlic cucumber lettuce cabbage broccoli spinach corn bean pea mushroom nut almond coffee tea
juice beer wine cocktail drink fruit vegetable recipe vegan healthy homemade grilled fried baked
roasted

birthday wedding party festival celebration anniversary christmas easter halloween thanksgiving
valentine concert show performance event ceremony parade protest march speech meeting
conference workshop class lesson course exhibition exhibit fair competition contest
championship league cup final match tournament football soccer basketball baseball tennis
golf hockey volleyball rugby cricket boxing yoga fitness gym sport sports exercise dance music
jazz rock band song opera ballet orchestra marathon olympic games goal score victory winner

business company office job career education training health medical medicine science research
technology data information network internet software app application program code system
service security safety news media social marketing finance insurance law government politics
election vote army military war peace battle history culture religion love friendship success
growth change future past dream hope idea plan project process product result report review
guide tips list step tutorial manual instruction introduction chapter section part page number
code date year month week hour minute monday tuesday wednesday thursday friday saturday sunday
january february march april may june july august september october november december today
tomorrow yesterday ancient medieval royal national international global local public private
general special main major minor natural wild organic

sit sitting stand standing walk run jump fly flying swim ride riding drive driving play playing
eat eating drink drinking sleep sleeping read reading write writing hold holding wear wearing
carry look looking watch smile smiling laugh cry talk speak speaking sing singing dance cook
cooking paint draw build built cut grow growing hang hanging lie lying lean wait waiting work
working learn teach think wish wait meet meets win wins lose help save stop start begin finish
turn pull push throw catch kick hit shoot climb fall rise seen taken shown shows showing located
featuring including isolated dressed painted printed decorated covered filled surrounded

crochet knit knitted knitting sew sewing quilt embroidery craft yarn thread needle pattern
origami pottery woodworking tapestry weaving stitch patch bead ribbon bow sequin floral striped
plaid polka dot checkered abstract geometric seamless watercolor watercolour acrylic canvas
charcoal collage mosaic glitter neon pastel matte glossy transparent blank sleeveless casual
formal slim skinny stretch fit loose cropped hooded padded quilted fleece linen velvet satin
chiffon polyester nylon spandex suede faux fur tulle mesh maxi midi bodycon backless strapless
bikini swimsuit lingerie bra underwear pajamas robe kimono tutu cardigan vest tank polo tights
leggings romper overalls bracelet anklet pendant brooch cufflink tiara veil
moist crispy creamy spicy tasty delicious yummy sweet sour bitter juicy crunchy savory gooey
fluffy tender zesty cheesy buttery sticky glazed stuffed smoked raw ripe frozen melted whipped
cozy comfy stylish chic rustic sleek sturdy durable compact lightweight adorable precious
stunning breathtaking magical spooky scary creepy lonely sleepy hungry thirsty tired lazy busy
crowded quiet peaceful calm serene misty foggy sunny cloudy rainy snowy windy stormy frosty
recipe casserole lasagna taco burrito curry sushi ramen dumpling omelette brownie cupcake
cheesecake cinnamon vanilla caramel pumpkin avocado zucchini eggplant celery asparagus
cauliflower kale quinoa tofu shrimp lobster crab salmon tuna oyster clam squid octopus
bookshelf nightstand dresser wardrobe ottoman recliner stool armchair hammock mattress crib
stroller highchair chandelier lantern lampshade fireplace chimney staircase hallway pantry
countertop backsplash faucet bathtub shower tile hardwood laminate drywall siding driveway
patio deck porch gazebo pergola shed greenhouse lawn hedge shrub hydrangea peony succulent
cactus fern moss ivy maple oak pine birch willow palm tropical alpine arctic coastal rural
urban residential commercial industrial historic historical heritage landmark ruins fortress
lighthouse windmill dam canal dock marina boardwalk promenade alley roundabout intersection
crosswalk sidewalk pavement rooftop basement attic elevator escalator corridor
past walks walked walking people watching talking wearing sits stands reads holds looks runs
plays rides behind beside group outdoors indoors background foreground surface object shape
circle square triangle rectangle oval star line stripe arrow text colour color coloured colored

file item number name list term topic value count total rate size length height weight width
trend role case benefit type kind class group level set unit version release update feature
option setting mode result input output request visit select click tap watch read learn

mr mrs ms miss dr sir prof professor lord saint st jr sr inc ltd llc corp corporation company
hd uhd hq qhd fhd jpg jpeg png gif webp pdf svg psd eps diy faq rgb ok usb led lcd tv dvd cd xl
xxl xs vs via etc no nr vol pt ft feat am pm
"""
_WORDS = frozenset(_LISTED.split())


@lru_cache(1 << 14)
def is_common(word: str) -> bool:
    """Whether a folded word, or what it is a form of, is a common word of English captions."""
    if word in _WORDS:
        return True
    for ending, replacements in (
        ("ies", ("y",)),
        ("es", ("", "e")),
        ("s", ("",)),
        ("ing", ("", "e")),
        ("ed", ("", "e")),
        ("ly", ("",)),
        ("er", ("", "e")),
        ("est", ("", "e")),
    ):
        if not word.endswith(ending) or len(word) - len(ending) < 3:
            continue
        stem = word.removesuffix(ending)
        if any(stem + replacement in _WORDS for replacement in replacements):
            return True
        if stem[-1] == stem[-2] and stem[:-1] in _WORDS:  # running
            return True
    return False

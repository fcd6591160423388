"""English for the demo crawl: topics, people, and sentences with gaps that `prose.py` fills.

A gap is `{name}` of a list below or of the topic; a capital first letter asks for a capital. A page
fills a gap with the same words twice only when the list is used up, so pages read as prose and
repeat neither themselves nor each other.
"""


def parse_words(text: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Reads `[section]` heads with entries `key: phrase | phrase`; an indented line goes on."""
    sections: dict[str, dict[str, str]] = {}
    entries: dict[str, str] = {}
    key = ""
    for line in text.strip().splitlines():
        if line.startswith("["):
            entries = sections.setdefault(line.strip("[]"), {})
        elif line.startswith(" "):
            entries[key] += " " + line.strip()
        else:
            key, _, entries[key] = line.partition(":")
    return {
        name: {key: tuple(p.strip() for p in phrases.split("|")) for key, phrases in block.items()}
        for name, block in sections.items()
    }


# Gaps: `who` subjects in the singular, `act` what one of them did (past tense), `thing` objects
# with an article, `place` with a preposition, `fact` a clause of general knowledge.
TOPICS = parse_words("""
[bees]
titles: A year among the hives | What the bees taught us | Honey from the upper field
who: the old beekeeper | a young apprentice | my neighbour | the honey judge | an inspector
act: opened the third hive with great care | carried eleven frames into the shed | waited for the
  smoke to settle | marked the queen with a dot of paint | spun the last honey of summer | moved
  two colonies nearer to the lime trees
thing: a wooden frame | the brood box | a jar of pale honey | the veil | a swarm the size of a hat
place: beside the orchard wall | under the lime trees | behind the village school | on the
  southern slope | near the clover field
fact: bees fly out only when the air is warm enough | a colony can winter on twenty pounds of
  honey | the colour of honey tells which flowers were open | drones leave before the first frost
[harbour]
titles: The harbour before sunrise | Mending boats the slow way | Notes from the eastern quay
who: the harbour master | a retired sailor | the boat builder | the ferry captain | a net maker
act: tarred the hull from stern to bow | coiled forty fathoms of rope | read the tide tables aloud
  | hauled a dinghy up the slipway | repaired the lantern at the pier head | sold the morning
  catch within an hour
thing: an iron anchor | the spare mast | a patched sail | the fog bell | a crate of mackerel
place: along the eastern quay | at the foot of the lighthouse | outside the customs house | beyond
  the breakwater | between the fishing sheds
fact: spring tides rise two metres higher than usual | salt eats through cheap iron in a few
  winters | wet rope weighs twice as much as dry rope | gulls follow only boats that have caught
  something
[bread]
titles: Bread that takes two days | The village oven is lit again | Flour, water and patience
who: the baker | her eldest daughter | a miller from the valley | the night shift | our teacher
act: kneaded the dough until it sang | lit the oven with birch logs | weighed the rye by hand |
  folded the loaf over three times | scraped the wooden trough clean | slid nine loaves onto the
  hot stone
thing: a sourdough starter | the linen cloth | a crust as dark as coffee | the long peel | a sack
  of spelt
place: in the old bakehouse | by the mill stream | next to the church hall | behind the counter |
  at the Saturday market
fact: rye dough asks for more water than wheat | a stone oven holds its heat for a whole day |
  good crust needs steam in the first ten minutes | salt slows the yeast and deepens the taste
[stars]
titles: Counting meteors from a barn roof | A telescope made of spare parts | The night the comet
  came back
who: the amateur astronomer | a patient student | the observatory guide | my grandfather | the
  lens grinder
act: polished the mirror for six weeks | drew the moons of Jupiter in pencil | counted ninety
  meteors before dawn | turned the dome toward the south | noted every cloud in a green ledger |
  explained the phases of Venus with an orange
thing: a brass eyepiece | the star chart | a folding chair | the red torch | a flask of strong tea
place: on the flat roof | high above the town lights | at the edge of the moor | inside the wooden
  dome | across the frozen pasture
fact: starlight bends a little as it enters the air | the brightest planets never twinkle much | a
  mirror gathers more light than a lens of equal price | the moon moves its own width every hour
[railway]
titles: Last train over the viaduct | How a signal box became a library | Two winters on the
  branch line
who: the signalman | a volunteer fireman | the station keeper | an engine driver | the track
  walker
act: greased the points before the frost | shovelled two tons of coal | waved the green flag at
  noon | painted the platform benches blue | tested each wheel with a hammer | wrote the delays on
  a slate
thing: a brass whistle | the signal lever | a ticket from another age | the water tower | an oil
  lamp
place: along the branch line | beneath the stone viaduct | in the locomotive shed | at the level
  crossing | past the junction
fact: steel rails grow longer on hot afternoons | a steam engine drinks before it pulls | curves
  wear out faster than straight track | old sleepers are made of oak and tar
[pottery]
titles: Clay from the river bend | Opening the kiln on Monday | A cup with no straight line
who: the potter | a visiting glazer | the clay digger | his first pupil | the museum curator
act: threw a tall jug in one pull | dug grey clay out of the bank | stacked the kiln to the arch |
  mixed ash and feldspar for a glaze | trimmed the foot of every bowl | broke the failed pieces
  with a mallet
thing: a salt glazed jug | the kick wheel | a bowl with a blue rim | the drying shelf | a bag of
  grog
place: at the bend of the river | in the low workshop | under a tin roof | beside the wood pile |
  near the glaze buckets
fact: clay shrinks by a tenth while it dries | iron turns green when the fire lacks air | thick
  walls crack sooner than thin ones | a kiln must cool as slowly as it was heated
[mountains]
titles: The hut above the tree line | Walking the ridge in October | A path repaired stone by
  stone
who: the hut warden | a mountain guide | the path builder | an elderly shepherd | the map maker
act: carried firewood up from the saddle | rebuilt the cairn after the storm | roped six walkers
  together | measured the snow with a birch pole | found a lost lamb before nightfall | laid flat
  stones across the stream
thing: a coil of rope | the summit book | a tin of dried apricots | the weather station | a carved
  stick
place: above the tree line | on the northern ridge | below the little glacier | beside the
  mountain hut | where the path divides
fact: weather turns faster on a ridge than in a valley | marmots whistle once for an eagle | wet
  limestone is slippery even in summer | snow bridges are safest before sunrise
[library]
titles: Ten thousand books and a leaking roof | The reading room at closing time | Letters found
  in an atlas
who: the librarian | a night porter | the book binder | a curious pupil | the archivist
act: catalogued the maps by coast and year | glued a torn spine with wheat paste | read aloud to a
  dozen children | rescued the atlases from the damp | stamped the last card of the day | lent a
  rare herbal to the school
thing: a leather atlas | the card index | a ladder on wheels | the brass lamp | a parcel of
  letters
place: in the reading room | between the tall shelves | under the glass dome | down in the cellar
  | next to the map cabinet
fact: old paper smells of vanilla as it ages | bookworms prefer starch to ink | vellum curls when
  the air is dry | a good index saves more time than a good memory
[garden]
titles: A kitchen garden without a spade | Pears on a south wall | What grew after the flood
who: the gardener | a seed collector | our neighbour's son | the plum grower | a botanist
act: pruned the pears against the wall | sowed beans between the maize | covered the beds with
  straw | grafted two old apples onto one stem | watered the seedlings before breakfast | traded
  rhubarb for pumpkin seed
thing: a cold frame | the compost heap | a row of leeks | the watering can | a basket of quinces
place: against the south wall | behind the greenhouse | along the gravel path | in the walled
  garden | by the rain barrel
fact: worms do more digging than any spade | basil sulks when the nights are cold | deep watering
  makes roots grow down | a bare bed loses its best soil to the wind
[market]
titles: Saturday under the striped awnings | The cheese seller's ledger | Why the market moved to
  the square
who: the cheese seller | a spice trader | the market clerk | a basket weaver | the flower girl
act: cut a wheel of hard cheese in half | weighed saffron on a tiny scale | chalked the prices on
  a board | wove a handle from split willow | bargained over a crate of lemons | swept the cobbles
  before noon
thing: a striped awning | the copper scale | a wheel of sheep cheese | the chalk board | a string
  of garlic
place: on the old square | in front of the town hall | under the arcade | around the fountain |
  opposite the chapel
fact: prices fall in the last half hour | cheese tastes of what the sheep have eaten | regular
  customers seldom ask for a receipt | rain empties a market faster than any rival
""")

LISTS = parse_words("""
[lists]
time: early in the morning | late in the evening | on a cold Tuesday | during the second week of
  March | just after the rain had stopped | towards the end of summer | one quiet afternoon |
  before the first frost | in the spring of that year | on the longest day of June | shortly
  before noon | at the end of a dry month | on the following day | some weeks later | while the
  fog was still thick | in the middle of winter | as soon as the road was open | when the church
  clock struck nine | after a sleepless night | on the eve of the fair | a fortnight ago | once
  the guests had left
reason: because nobody else had the patience | since the old method no longer worked | so that the
  children could see it too | although the forecast had been poor | because there was simply not
  enough money | as their parents had done before them | even though it took twice as long | in
  order to be ready by Friday | because the tools were at hand | since every hour of daylight
  counted | so nothing would be wasted | although few people noticed | because a promise is a
  promise | as if there were all the time in the world | since help was not expected before May |
  so that others might learn from it | because the neighbours had asked for it | although it
  looked easy from a distance
adj: quiet | stubborn | generous | narrow | ancient | careful | bright | modest | unusual | heavy
  | gentle | crooked | splendid | useful | plain | curious | sturdy | fragile | familiar |
  remarkable | honest | faded | clever | slow | solid | lively | humble | precious | rough |
  peculiar
noun: habit | rumour | lesson | memory | promise | mistake | discovery | bargain | custom | riddle
  | journey | rehearsal | compromise | adventure | argument | surprise | tradition | experiment |
  celebration | routine | warning | kindness | victory | accident
feeling: with obvious pride | without a single word | in a rather cheerful mood | with a tired
  smile | as calmly as ever | to everyone's surprise | with more luck than skill | in complete
  silence | against all advice | with both hands full | for the first time in years | to the
  delight of the visitors | much faster than planned | with cold fingers | half asleep | under a
  borrowed coat
name: Martha Ellwood | Jonas Pike | Ida Farrow | Tobias Renn | Clara Whitlock | Edwin Marsh | Nora
  Vance | Silas Grove | Hester Lane | Felix Arden | Agnes Moorhouse | Rupert Hale | Winifred Stone
  | Oscar Bly | Lydia Fenn | Gideon Shaw | Beatrice Holm | Casper Wynn | Ottilie March | Percy
  Dunmore
village: Lower Wending | Ashcombe | Saltmere | Thornby | Little Harrow | Westerfold | Stonebeck |
  Millbrook End | Fernley | Oxhill | Candleford | Brackwater | Upper Tarn | Redmarsh | Hollowdean
  | Penbury
number: three | seven | twelve | fifteen | nineteen | twenty-two | thirty | about forty | nearly
  sixty | more than eighty | ninety-one | two hundred | over three hundred | five | eleven
year: 1887 | 1903 | 1911 | 1924 | 1936 | 1948 | 1952 | 1957 | 1963 | 1969 | 1974 | 1981 | 1988 |
  1992 | 1999 | 2004 | 2009 | 2013
saying: a good start is half the work | haste makes its own delay | you learn more from one
  failure than ten recipes | the weather has the last word | tools remember who sharpened them |
  nothing lasts like a thing that is mended | patience is cheaper than repair | the best seat is
  the one you built | small steps leave the deepest path | what is shared is never lost | a loud
  plan seldom works | the second cup always tastes better
heading: How it began | The work itself | A look inside | What remains | Voices from the village |
  Tools and habits | The second season | Questions we were asked | A short history | Plans for
  next year
swap: gladly | timber | harvest | winding | copper | meadow | silent | borrowed | lantern |
  chestnut | marble | seldom | willow | thunder | velvet | cottage | amber | pebble | saddle |
  violet
spam: cheap garden tools | best price online | buy now | free shipping | discount code | order
  today | limited offer | lowest price | special deal | click here
menu: Home | News | Stories | Pictures | About | Contact | Archive | Events | Shop | Help | Search
  | Links
""")["lists"]

SENTENCES = tuple(
    """
{Time}, {who} {act}, {reason}.
{Who} {act} {place}, and {name} watched {feeling}.
It is well known that {fact}, yet the people of {village} still call it a {adj} {noun}.
There was {thing} {place}, which {name} had bought for {number} coins in {year}.
"{Saying}," said {name} {feeling}, and nobody {place} disagreed.
{Name} came to {village} in {year} and never forgot the {adj} {noun} of that first week.
According to the parish records, {number} families lived {place} before {year}.
{Time}, the whole of {village} gathered {place} to talk about {thing}.
When {who} {act}, the {adj} crowd from {village} cheered {feeling}.
A {adj} visitor might think that {thing} is only a {noun}, but {name} knows better.
{Fact}, as {who} likes to explain {feeling}.
For {number} years, {who} has kept {thing} {place}, {reason}.
What began as a {adj} {noun} in {year} has become a tradition in {village}.
{Who} {act} {feeling}, {reason}.
Few things are as {adj} as {thing} left {place} {time}.
"We had {number} letters about it," {name} recalls, "and only one of them was {adj}."
Some say that {fact}; others, like {who}, would rather speak of a {adj} {noun}.
{Time}, {name} found {thing} {place} and carried it home {feeling}.
The {noun} lasted until {year}, when {who} {act}.
In {village}, {number} people out of a hundred believe that {saying}.
If you ask {who}, the {adj} part is over as soon as {thing} stands {place}.
Nobody could say why {who} {act} {time}, but the {noun} stayed with us.
{Name} wrote a {adj} book about it, which sold {number} copies, mostly in {village}.
After {number} attempts, {who} {act}, and the {noun} was complete.
The {adj} road to {village} passes {thing} and ends {place}.
Since {year}, {who} has repeated one {adj} sentence: {saying}.
{Place}, {number} steps from the gate, {name} keeps {thing} {reason}.
It took {name} {number} days and one {adj} {noun} to understand that {fact}.
They met {place} {time}, drank something hot, and agreed that {saying}.
Most guests from {village} expect a {noun}, and leave having seen {thing} instead.
Even today, {who} prefers {thing} to any {adj} machine built after {year}.
{Reason}, {name} gave {number} lessons {place} without asking for money.
Only {number} of the old photographs survive, and each shows a {adj} {noun} {place}.
{Who} laughed {feeling} and said that {fact}.
By {year} the {noun} was over, and {village} had {thing} to show for it.
{Time}, a {adj} letter from {name} arrived, and everything had to be done again.
We asked {number} neighbours about {thing}; {name} alone remembered the {noun}.
The rest is a {adj} story that {who} tells {place}, usually {feeling}.
Between {village} and the sea, {fact}, so plans are made {feeling}.
It would be a {noun} to forget that {who} {act} {reason}.
""".strip().splitlines()
)

SHORT = tuple(
    """
This page has moved to the new site.
Opening hours are from nine to five.
The photograph will follow soon.
Please ring the bell twice and wait.
Thank you for your visit.
The office is closed until Monday.
""".strip().splitlines()
)

LOREM = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt "
    "ut labore et dolore magna aliqua."
)

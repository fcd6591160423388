"""The other languages of the demo crawl: pieces of sentences, and the words of simple captions.

`when` opens a sentence, `who` is a subject in the singular, `act` what the subject did (a `~` parts
the verb from the rest, where word order needs it), `tail` a clause that ends it. Every subject fits
every act. `form` are the orders in which the pieces make a sentence; a capital first letter asks
for a capital. `shape`, `colour` follow the order of the lists in `scenes.py`; a `/` parts masculine
and feminine (and neuter) forms, and `gender` says which form a shape takes.
"""

from pipeline.demo.words import parse_words

LANGUAGES = parse_words("""
[de]
title: Ein Jahr im Dorf am Fluss | Was die alte Mühle erzählt | Der Garten hinter der Schule |
  Ein Markt im Regen | Notizen aus dem Hafen | Der lange Winter am See
when: am frühen Morgen | kurz nach dem Regen | im Herbst des Jahres 1948 |
  an einem kühlen Dienstag | gegen Ende des Sommers | vor dem ersten Frost |
  in der zweiten Märzwoche | seit vielen Jahren | trotz des Nebels |
  nach einer schlaflosen Nacht | zwischen zwei Gewittern | am nächsten Tag | mitten im Winter |
  wenige Wochen später | noch vor dem Frühstück | an einem stillen Abend
who: die Gärtnerin | der alte Müller | ein junger Lehrer | die Bäckerin aus dem Nachbardorf |
  der Bürgermeister | mein Großvater | die Försterin | ein wandernder Schreiner | der Fährmann |
  die Tochter des Schmieds | eine geduldige Imkerin | der Küster | die Wirtin | unser Nachbar
act: reparierte~das Dach der kleinen Kapelle | trug~zwölf Körbe Äpfel in den Keller |
  zählte~die Störche über dem Fluss | schrieb~einen langen Brief an die Gemeinde |
  öffnete~das Tor zum verwilderten Garten | pflanzte~eine Reihe junger Birnbäume |
  fand~eine Karte mit vergessenen Wegen | verkaufte~Honig und dunkles Brot |
  malte~die Fensterläden in hellem Blau | erklärte~den Kindern die Sternbilder |
  baute~eine Brücke aus Eichenholz | sammelte~Steine am Ufer des Sees |
  kochte~Suppe für mehr als dreißig Gäste | las~aus einem zerrissenen Tagebuch vor |
  stimmte~das Klavier im Gemeindesaal | holte~Wasser aus dem tiefen Brunnen
tail: weil der Winter früh gekommen war | obwohl kaum jemand zusah |
  damit alle davon lernen konnten | als die Glocke neun Uhr schlug |
  während draußen der Wind heulte | bis das letzte Licht erlosch |
  denn Geduld ist billiger als jede Reparatur | ohne ein einziges Wort zu verlieren |
  und das ganze Dorf sprach davon | wie es früher üblich gewesen war | um den Gästen zu helfen |
  doch die Arbeit war noch lange nicht getan | was niemanden wirklich überraschte |
  sobald die Straße wieder frei war | bevor die ersten Besucher kamen | aber nicht ohne Stolz
form: {When} {verb} {who} {rest}, {tail}. | {Who} {verb} {when} {rest}. |
  {Who} {verb} {rest}, {tail}. | {When} {verb} {who} {rest}.
shape: Kreis | Quadrat | Dreieck | Stern | Kreuz | Ring
gender: 0 | 2 | 2 | 0 | 2 | 0
colour: roter/rote/rotes | oranger/orange/oranges | gelber/gelbe/gelbes | grüner/grüne/grünes |
  blauer/blaue/blaues | violetter/violette/violettes | schwarzer/schwarze/schwarzes |
  weißer/weiße/weißes
caption: {one} neben einem leeren Feld | das Bild zeigt, was hier liegt: {one} |
  hier ist {one} zu sehen
one: ein {colour} {shape}/eine {colour} {shape}/ein {colour} {shape}
[fr]
title: Une année au bord de la rivière | Le vieux moulin raconte | Le jardin derrière l'école |
  Un marché sous la pluie | Carnet du port | Le long hiver du village
when: tôt le matin | juste après la pluie | à l'automne de 1948 | par un mardi glacial |
  vers la fin de l'été | avant les premières gelées | pendant la deuxième semaine de mars |
  malgré le brouillard | après une nuit blanche | entre deux orages | le lendemain |
  au milieu de l'hiver | quelques semaines plus tard | avant même le déjeuner | un soir tranquille
who: la jardinière | le vieux meunier | un jeune instituteur | la boulangère du village voisin |
  le maire | mon grand-père | le garde forestier | un menuisier de passage | le passeur |
  la fille du forgeron | une apicultrice patiente | le sacristain | l'aubergiste | notre voisine
act: a réparé le toit de la petite chapelle | a porté douze paniers de pommes à la cave |
  a compté les cigognes au-dessus du fleuve | a écrit une longue lettre à la commune |
  a ouvert la porte du jardin abandonné | a planté une rangée de jeunes poiriers |
  a trouvé une carte des chemins oubliés | a vendu du miel et du pain noir |
  a peint les volets en bleu clair | a expliqué les étoiles aux enfants |
  a construit un pont en bois de chêne | a ramassé des cailloux sur la rive du lac |
  a préparé la soupe pour plus de trente invités | a lu quelques pages d'un cahier déchiré |
  a accordé le piano de la salle des fêtes | a tiré de l'eau du puits profond
tail: parce que l'hiver était venu trop tôt | bien que presque personne ne regarde |
  pour que tous puissent apprendre | quand la cloche a sonné neuf heures |
  tandis que le vent hurlait | jusqu'à la dernière lueur du jour |
  car la patience coûte moins cher que les réparations | sans prononcer un seul mot |
  et tout le village en a parlé | comme on le faisait autrefois | afin d'aider les voyageurs |
  mais le travail n'était pas terminé | ce qui n'a surpris personne |
  dès que la route fut ouverte | avant l'arrivée des premiers visiteurs | non sans fierté
form: {When}, {who} {act}, {tail}. | {Who} {act} {when}. | {Who} {act}, {tail}. |
  {When}, {who} {act}.
shape: cercle | carré | triangle | étoile | croix | anneau
gender: 0 | 0 | 0 | 1 | 1 | 0
colour: rouge/rouge | orange/orange | jaune/jaune | vert/verte | bleu/bleue | violet/violette |
  noir/noire | blanc/blanche
caption: {one} sur un fond uni | cette image montre {one} | on voit ici {one}
one: un {shape} {colour}/une {shape} {colour}
[es]
title: Un año junto al río | Lo que cuenta el viejo molino | El huerto detrás de la escuela |
  Un mercado bajo la lluvia | Cuaderno del puerto | El largo invierno del pueblo
when: muy temprano por la mañana | justo después de la lluvia | en el otoño de 1948 |
  un martes muy frío | hacia el final del verano | antes de la primera helada |
  a pesar de la niebla | durante la segunda semana de marzo | tras una noche sin dormir |
  entre dos tormentas | al día siguiente | en pleno invierno | algunas semanas más tarde |
  antes del desayuno
who: la jardinera | el viejo molinero | un joven maestro | la panadera del pueblo vecino |
  el alcalde | mi abuelo | el guarda forestal | un carpintero errante | el barquero |
  la hija del herrero | una apicultora paciente | el sacristán | la posadera | nuestra vecina
act: reparó el tejado de la pequeña capilla | llevó doce cestas de manzanas al sótano |
  contó las cigüeñas sobre el río | escribió una larga carta al municipio |
  abrió la puerta del jardín abandonado | plantó una hilera de perales jóvenes |
  encontró un mapa de caminos olvidados | vendió miel y pan oscuro |
  pintó las contraventanas de azul claro | explicó las estrellas a los niños |
  construyó un puente de madera de roble | recogió piedras en la orilla del lago |
  preparó sopa para más de treinta invitados | leyó unas páginas de un diario roto |
  afinó el piano del salón municipal | sacó agua del pozo más profundo
tail: porque el invierno había llegado pronto | aunque casi nadie miraba |
  para que todos aprendieran | cuando la campana dio las nueve |
  mientras el viento aullaba fuera | hasta la última luz del día |
  pues la paciencia cuesta menos que cualquier arreglo | sin decir una sola palabra |
  y todo el pueblo habló de ello | como se hacía antiguamente |
  con el fin de ayudar a los viajeros | pero el trabajo no estaba terminado |
  lo que no sorprendió a nadie | en cuanto se abrió el camino |
  antes de que llegaran los visitantes | no sin cierto orgullo
form: {When}, {who} {act}, {tail}. | {Who} {act} {when}. | {Who} {act}, {tail}. |
  {When}, {who} {act}.
shape: círculo | cuadrado | triángulo | estrella | cruz | anillo
gender: 0 | 0 | 0 | 1 | 1 | 0
colour: rojo/roja | naranja/naranja | amarillo/amarilla | verde/verde | azul/azul |
  morado/morada | negro/negra | blanco/blanca
caption: {one} sobre un fondo liso | esta imagen muestra {one} | aquí se ve {one}
one: un {shape} {colour}/una {shape} {colour}
[ru]
title: Год на берегу реки | О чём помнит старая мельница | Сад за деревенской школой |
  Ярмарка под дождём | Записки из порта | Долгая зима в деревне
when: рано утром | сразу после дождя | осенью тысяча девятьсот сорок восьмого года |
  в холодный вторник | ближе к концу лета | ещё до первых морозов | несмотря на густой туман |
  во вторую неделю марта | после бессонной ночи | между двумя грозами | на следующий день |
  посреди зимы | несколько недель спустя | перед самым завтраком | тихим вечером
who: старый садовник | мельник | молодой учитель | пекарь из соседней деревни | староста |
  мой дедушка | лесник | бродячий плотник | паромщик | сын кузнеца | терпеливый пчеловод |
  звонарь | хозяин постоялого двора | наш сосед
act: починил крышу маленькой часовни | отнёс в подвал двенадцать корзин яблок |
  сосчитал аистов над рекой | написал длинное письмо соседям | открыл ворота заброшенного сада |
  посадил целый ряд молодых груш | нашёл карту забытых дорог | продал весь мёд и чёрный хлеб |
  покрасил ставни в голубой цвет | рассказал детям о созвездиях | построил мост из дубовых досок |
  собрал камни на берегу озера | сварил суп для тридцати гостей |
  прочитал вслух порванный дневник | настроил рояль в сельском клубе |
  достал воды из глубокого колодца
tail: потому что зима пришла слишком рано | хотя почти никто не смотрел |
  чтобы все могли научиться | когда колокол пробил девять раз | пока за окном выл ветер |
  до последнего луча солнца | ведь терпение дешевле любого ремонта | не сказав ни единого слова |
  и об этом говорила вся деревня | как это делали в старину | чтобы помочь путникам |
  но работа ещё не была закончена | что никого не удивило | как только открыли дорогу |
  прежде чем пришли первые гости | и очень этим гордился
form: {When} {who} {act}, {tail}. | {Who} {act} {when}. | {Who} {act}, {tail}. |
  {When} {who} {act}.
shape: круг | квадрат | треугольник | звезда | крест | обруч
gender: 0 | 0 | 0 | 1 | 0 | 0
colour: красный/красная | оранжевый/оранжевая | жёлтый/жёлтая | зелёный/зелёная | синий/синяя |
  фиолетовый/фиолетовая | чёрный/чёрная | белый/белая
caption: {one} на сером фоне | на картинке только {one} | здесь нарисован один предмет: {one}
one: {colour} {shape}/{colour} {shape}
[zh]
title: 河边村庄的一年 | 老磨坊的故事 | 学校后面的菜园 | 雨中的集市 | 港口笔记 | 村里漫长的冬天
when: 清晨的时候 | 大雨刚停不久 | 一九四八年的秋天 | 一个寒冷的星期二 | 夏天快要结束的时候 |
  第一场霜降之前 | 三月的第二个星期 | 尽管雾还没有散 | 一夜没睡之后 | 两场雷雨之间 | 第二天 |
  隆冬时节 | 几个星期以后 | 早饭之前 | 一个安静的傍晚
who: 年老的园丁 | 磨坊的主人 | 一位年轻的老师 | 邻村的面包师 | 村长 | 我的祖父 | 守林人 |
  流浪的木匠 | 渡船的船夫 | 铁匠的女儿 | 有耐心的养蜂人 | 敲钟的人 | 客栈的老板娘 | 我们的邻居
act: 修好了小教堂的屋顶 | 把十二筐苹果搬进了地窖 | 数了数河面上飞过的白鹭 |
  给乡亲们写了一封很长的信 | 打开了荒废花园的大门 | 种下了一排年轻的梨树 |
  找到了一张标着旧路的地图 | 卖完了蜂蜜和黑面包 | 把窗户漆成了浅蓝色 | 给孩子们讲解天上的星座 |
  用橡木造了一座桥 | 在湖边捡了许多石头 | 为三十多位客人煮了一锅汤 | 朗读了一本破旧的日记 |
  调好了礼堂里的钢琴 | 从深井里打上来清水
tail: 因为冬天来得太早了 | 虽然几乎没有人注意到 | 好让大家都能学会 | 那时钟声正好敲了九下 |
  外面的风一直在吼叫 | 一直忙到最后一缕阳光消失 | 毕竟耐心比修理便宜得多 | 从头到尾没有说一句话 |
  全村的人都在谈论这件事 | 就像从前人们做的那样 | 为的是帮助过路的旅客 | 可是工作还远远没有做完 |
  这并没有让谁感到惊讶 | 等到道路重新开通才离开 | 赶在第一批客人到来之前 | 心里感到十分自豪
form: {when}，{who}{act}，{tail}。 | {who}{when}{act}。 | {who}{act}，{tail}。 |
  {when}，{who}{act}。
shape: 圆形 | 正方形 | 三角形 | 星形 | 十字形 | 圆环
gender: 0 | 0 | 0 | 0 | 0 | 0
colour: 红色 | 橙色 | 黄色 | 绿色 | 蓝色 | 紫色 | 黑色 | 白色
caption: 灰色背景上的一个{one} | 图中画着一个{one} | 这里可以看到一个{one}
one: {colour}{shape}
[ja]
title: 川辺の村の一年 | 古い水車小屋の話 | 学校の裏の畑 | 雨の日の市場 | 港の覚え書き | 村の長い冬
when: 朝早く | 雨が上がるとすぐに | 千九百四十八年の秋に | 寒い火曜日に | 夏の終わりごろ |
  初霜の前に | 三月の第二週に | 霧が深かったにもかかわらず | 眠れない夜のあとで | 翌日になって |
  真冬のさなかに | 数週間たってから | 朝ごはんの前に | 静かな夕方に | 祭りの前の晩に
who: 年老いた庭師 | 水車小屋の主人 | 若い先生 | 隣村のパン屋さん | 村長さん | 私の祖父 |
  森番の男 | 旅の大工 | 渡し船の船頭 | 鍛冶屋の娘 | 辛抱強い養蜂家 | 鐘つきの人 |
  宿屋のおかみさん | お隣さん
act: 小さなお堂の屋根を直しました | りんごの籠を十二個も地下室に運びました |
  川の上を飛ぶ鳥の数をかぞえました | みんなに長い手紙を書きました | 荒れた庭の門を開けました |
  若い梨の木を一列に植えました | 忘れられた道の地図を見つけました | 蜂蜜と黒いパンを売りました |
  窓の戸を明るい青に塗りました | 子どもたちに星座を教えました | 樫の木で橋を作りました |
  湖の岸で石を集めました | 三十人のお客のためにスープを作りました |
  破れた日記を声に出して読みました | 集会所のピアノを調律しました | 深い井戸から水をくみ上げました
tail: 冬が早く来てしまったので | 見ている人はほとんどいませんでしたが | みんなが学べるように |
  鐘が九つ鳴ったときに | 外では風がうなっていましたが | 最後の光が消えるまで |
  我慢は修理よりも安いと言いながら | 一言も話さずに | 村じゅうのうわさになるほど熱心に |
  昔の人がしていたように | 旅人を助けるために | 仕事はまだ終わっていませんでしたが |
  だれも驚きませんでしたが | 道がまた通れるようになると | 最初のお客が来る前に | 少し誇らしげに
form: {when}、{who}は{act}。 | {tail}、{who}は{act}。 | {who}は{tail}、{act}。 |
  {when}、{who}が{act}。
shape: 円 | 正方形 | 三角形 | 星 | 十字 | 輪
gender: 0 | 0 | 0 | 0 | 0 | 0
colour: 赤い | オレンジ色の | 黄色い | 緑の | 青い | 紫の | 黒い | 白い
caption: 灰色の背景に{one}が一つあります | この絵には{one}が描かれています |
  ここに見えるのは{one}です
one: {colour}{shape}
[tr]
title: Nehir kıyısında bir yıl | Eski değirmenin anlattıkları | Okulun arkasındaki bahçe |
  Yağmur altında pazar | Limandan notlar | Köyde uzun kış
when: sabahın erken saatlerinde | yağmurdan hemen sonra | soğuk bir salı günü |
  yazın sonuna doğru | don düşmeden önce | mart ayının ikinci haftasında | yoğun sise rağmen |
  uykusuz bir gecenin ardından | ertesi gün | kışın tam ortasında | birkaç hafta sonra |
  kahvaltıdan önce | sessiz bir akşam
who: yaşlı bahçıvan | değirmenci | genç öğretmen | komşu köyün fırıncısı | muhtar | dedem |
  ormancı | gezgin marangoz | kayıkçı | demircinin kızı | sabırlı arıcı | hancı | komşumuz
act: küçük kulübenin çatısını onardı | on iki sepet elmayı kilere taşıdı |
  nehrin üstündeki leylekleri saydı | köylülere uzun bir mektup yazdı | bahçenin kapısını açtı |
  bir sıra genç armut ağacı dikti | unutulmuş yolların haritasını buldu |
  bal ve esmer ekmek sattı | pencereleri açık maviye boyadı | çocuklara yıldızları anlattı |
  meşe ağacından bir köprü yaptı | gölün kıyısında taş topladı | otuz misafir için çorba pişirdi |
  yırtık bir günlüğü yüksek sesle okudu
tail: çünkü kış çok erken gelmişti | ama neredeyse kimse görmedi | böylece herkes öğrenebildi |
  o sırada dışarıda rüzgâr uğulduyordu | ve bütün köy bunu konuştu | tıpkı eskiden olduğu gibi |
  ama iş henüz bitmemişti | buna da kimse şaşırmadı | çünkü sabır onarımdan daha ucuzdur
form: {When} {who} {act}, {tail}. | {Who} {when} {act}. | {Who} {act}, {tail}. |
  {When} {who} {act}.
shape: daire | kare | üçgen | yıldız | haç | halka
gender: 0 | 0 | 0 | 0 | 0 | 0
colour: kırmızı | turuncu | sarı | yeşil | mavi | mor | siyah | beyaz
caption: gri zemin üzerinde {one} | bu resimde {one} var | burada görülen {one}
one: bir {colour} {shape}
""")
